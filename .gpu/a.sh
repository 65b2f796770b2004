export PYTHONUNBUFFERED=1 OMP_NUM_THREADS=4
S=$(date +%s); t() { echo "=== $1 at $(( $(date +%s) - S )) s"; }
python3 -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --target /tmp/site .whl/*.whl || exit
export PYTHONPATH=/tmp/site:$PWD
t installed; nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv; nproc
B="python3 tools/benchmark.py"
timeout 130 $B compare --size T --batch 256 --repeats 7 --steps 3 --dtype bfloat16 --out $OUT/gpu_compare_swin_t.json 2>&1 | tail -25; t T
timeout 100 $B compare --detectors --batch 2 --repeats 7 --steps 3 --dtype float16 --out $OUT/gpu_detectors.json 2>&1 | tail -12; t detectors
timeout 50 $B profile --methods um_mae um_cross_mae --size T --batch 256 --dtype bfloat16 --out $OUT/gpu_profile.json 2>&1 | tail -30; t profile
timeout 150 $B compare --size L --batch 64 --repeats 3 --steps 2 --dtype bfloat16 --out $OUT/gpu_compare_swin_l.json 2>&1 | tail -20; t L
