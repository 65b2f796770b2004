set -x
timeout 150 python3 tools/benchmark.py compare --size L --batch 64 --repeats 3 --steps 2 --dtype bfloat16 --out $OUT/gpu_compare_swin_l.json 2>&1 | tail -20
