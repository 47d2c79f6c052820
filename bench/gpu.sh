#!/bin/sh
# Everything that a machine with a GPU can say about the CUDA backend, in under ten minutes: builds, runs
# the tests, also under compute-sanitizer if it is there, measures, and writes one report.
#
#   bench/gpu.sh [--build DIR] [--report FILE] [--llama LLAMA-BENCH] [MODEL.gguf...]
#
#   --build   a build folder with puna, libpuna-cuda, puna_cuda_tests and puna_cuda_products, in place of
#             making one: for machines on which nothing can be installed
#   --report  build/gpu/report.txt by default
#   --llama   llama.cpp's llama-bench, to measure the same files with
#   MODEL     without any, models of the shape of TinyLlama 1.1B are made: Q8_0, Q4_K_M, F16
set -u
cd "$(dirname "$0")/.." || exit
build="" report="" llama=""
while [ $# -gt 0 ]; do
    case $1 in
        --build) build=$2; shift 2 ;;
        --report) report=$2; shift 2 ;;
        --llama) llama=$2; shift 2 ;;
        -*) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
        *) break ;;
    esac
done
work=build/gpu
mkdir -p "$work"
: "${report:=$work/report.txt}"
: > "$report"
n_failed=0

# What a command says goes into the report, at most so many lines of its end.
section() {
    title=$1 lines=$2
    shift 2
    printf '\n== %s\n' "$title" | tee -a "$report"
    start=$(date +%s)
    "$@" > "$work/section.log" 2>&1
    code=$?
    tail -n "$lines" "$work/section.log" >> "$report"
    if [ $code -ne 0 ]; then
        echo "FAILED: exit status $code" | tee -a "$report"
        n_failed=$((n_failed + 1))
    fi
    echo "($(($(date +%s) - start)) s)" >> "$report"
    return $code
}

if [ -z "$build" ]; then
    build=$work/build
    build_here() {
        cmake -S . -B "$build" -DCMAKE_BUILD_TYPE=Release -DPUNA_BUILD_CUDA=ON \
            -DPUNA_BUILD_TESTS=ON -DPUNA_DOWNLOADS=OFF \
            -DCMAKE_CUDA_ARCHITECTURES="${PUNA_GPU_ARCHITECTURES:-native}" &&
            cmake --build "$build" -j "$(nproc)" \
                --target puna_cli puna_cuda puna_cuda_tests puna_cuda_products
    }
    section "build" 5 build_here || exit 1
fi
plugin=$build/lib/libpuna-cuda.so
puna=$build/bin/puna
PUNA_TEST_CUDA_PLUGIN=$(cd "$(dirname "$plugin")" && pwd)/libpuna-cuda.so
export PUNA_TEST_CUDA_PLUGIN PUNA_PROJECT_DIR="$PWD"

section "machine" 40 sh -c 'nvidia-smi; nvcc --version | tail -n 2; nproc; grep -m 1 "model name" /proc/cpuinfo'
section "commit" 1 git log -1 --format='%h %s'
# What the machine can do, to compare with.
measure_machine() {
    name=$1
    shift
    nvcc -std=c++20 -O3 -arch=native -I. -o "$work/$name" "bench/cuda/$name.cu" "$@" &&
        "$work/$name"
}
section "memory bandwidth" 4 measure_machine copy_bandwidth
section "meetings of blocks" 2 measure_machine barrier_time
section "products of cuBLAS" 10 measure_machine gemm_rate -lcublas

# What the emulator was happy with, on the device.
section "tests" 30 timeout 120 "$build/bin/puna_cuda_tests" --gtest_brief=1
if command -v compute-sanitizer > /dev/null; then
    for tool in memcheck racecheck; do
        section "compute-sanitizer $tool" 30 timeout 90 compute-sanitizer --tool "$tool" \
            --error-exitcode 1 "$build/bin/puna_cuda_tests" --gtest_brief=1 \
            --gtest_filter='CudaExecutor.*:CudaForward.*'
    done
fi

# What the kernels of products take, and what else could have been chosen.
for part in layers tiles slices; do
    section "products: $part" 120 timeout 60 "$build/bin/puna_cuda_products" $part
done

if [ $# -eq 0 ]; then
    for type in q8_0 q4_k_m f16; do
        [ -f "$work/tinyllama-$type.gguf" ] ||
            section "make $type" 3 "$puna" make-model "$work/tinyllama-$type.gguf" \
                --shape tinyllama-1.1b --type "$type"
        set -- "$@" "$work/tinyllama-$type.gguf"
    done
fi
for model in "$@"; do
    section "puna: $model" 20 timeout 90 "$puna" bench "$model" --gpu-layers -1
    [ -z "$llama" ] || section "llama.cpp: $model" 20 timeout 90 "$llama" -m "$model" -ngl 99 -fa 1 \
        -p 512 -n 128 -d 0,1800
done

printf '\n%d failed; the report is %s\n' "$n_failed" "$report" | tee -a "$report"
[ "$n_failed" -eq 0 ]
