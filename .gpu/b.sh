export PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1
S=$(date +%s); t() { echo "=== $1 at $(( $(date +%s) - S )) s"; }
[ -d /tmp/site ] || python3 -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --target /tmp/site .whl/*.whl || exit
export PYTHONPATH=/tmp/site:$PWD
(timeout 200 python3 -m pytest -q -p no:cacheprovider tests/test_gpu.py > $OUT/pytest.txt 2>&1; t pytest; tail -15 $OUT/pytest.txt | cut -c1-300) &
study() { timeout $1 python3 tools/study.py labels --seeds $2 --jobs 15 --pretrain-once --pretrain-iters 3000 --detect-iters 600 --starts scratch um_mae two_stages --work-dir /tmp/study --pretrain-options train_dataloader.num_workers=5 --out $OUT/nuclei_labels.json; }
study $1 "0 1 2" || study 25 "0 1" || study 10 "0"
t study; wait
cd /tmp/study; tar czf $OUT/logs.tgz *.log */result.json; for m in um_mae_swin_nano_nuclei um_mae_swin_nano_nuclei_two_stages; do f=$(ls -d pretrain_${m}_3000*_0 | head -1); cp $f/backbone.safetensors $OUT/$m.safetensors; cp $(ls $f/reconstruction/*3000.png) $OUT/$m.png; done; ls -la $OUT; t end
