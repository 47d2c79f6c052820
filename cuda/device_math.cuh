// What kernels share: sums over warps, words from unaligned bytes, 16-bit floats.
#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

namespace puna::cuda {

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

__device__ inline int lane_of_thread() {
    return static_cast<int>(threadIdx.x) % kWarp;
}
__device__ inline int warp_of_thread() {
    return static_cast<int>(threadIdx.x) / kWarp;
}

// All lanes get the sum, which is added in the same order in each.
template <class T>
__device__ inline T warp_sum(T value) {
#pragma unroll
    for (int bits = kWarp / 2; bits > 0; bits /= 2) {
        value += __shfl_xor_sync(kAllLanes, value, bits);
    }
    return value;
}

template <class T>
__device__ inline T warp_max(T value) {
#pragma unroll
    for (int bits = kWarp / 2; bits > 0; bits /= 2) {
        const T other = __shfl_xor_sync(kAllLanes, value, bits);
        value = other > value ? other : value;
    }
    return value;
}

// All threads of a block of whole warps get the sum. `shared` has a float for each warp.
__device__ inline float block_sum(float value, float* shared) {
    value = warp_sum(value);
    __syncthreads();
    if (lane_of_thread() == 0) shared[warp_of_thread()] = value;
    __syncthreads();
    float sum = 0.0f;
    for (int w = 0; w < static_cast<int>(blockDim.x) / kWarp; ++w) sum += shared[w];
    return sum;
}

// ---- 16-bit floats ------------------------------------------------------------------------------

__device__ inline float half_value(uint32_t bits) {
    return __half2float(__ushort_as_half(static_cast<unsigned short>(bits)));
}
__device__ inline float bfloat16_value(uint32_t bits) {
    return __uint_as_float(bits << 16);
}
__device__ inline uint16_t half_bits(float value) {
    return __half_as_ushort(__float2half_rn(value));
}
// To nearest, ties to even; NaN becomes quiet.
__device__ inline uint16_t bfloat16_bits(float value) {
    const uint32_t bits = __float_as_uint(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>(bits >> 16 | 0x40u);
    return static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

// Two of them in a word, the first in its low half.
__device__ inline uint32_t half_pair(float low, float high) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    uint32_t pair;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
#else
    return static_cast<uint32_t>(half_bits(high)) << 16 | half_bits(low);
#endif
}
__device__ inline uint32_t bfloat16_pair(float low, float high) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    uint32_t pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
#else
    return static_cast<uint32_t>(bfloat16_bits(high)) << 16 | bfloat16_bits(low);
#endif
}

// 2^x to a few of the last bits, in one operation. What is below the smallest normal number is 0.
__device__ inline float quick_exp2(float x) {
#if defined(__CUDA_ARCH__)
    float power;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x));
    return power;
#else
    return exp2f(x);
#endif
}

// 1 / x, likewise.
__device__ inline float quick_inverse(float x) {
#if defined(__CUDA_ARCH__)
    float inverse;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(inverse) : "f"(x));
    return inverse;
#else
    return 1.0f / x;
#endif
}

// ---- Words from bytes ---------------------------------------------------------------------------

// Bytes of weights lie in device memory that no kernel writes, and are const uint8_t* then, or in the shared
// memory of a block. What reads them takes either as Bytes.
struct SharedBytes {
    const uint8_t* at;
    __device__ uint8_t operator[](int i) const { return at[i]; }
};
__device__ inline SharedBytes operator+(SharedBytes bytes, int64_t n) {
    return {bytes.at + n};
}
__device__ inline SharedBytes operator-(SharedBytes bytes, int64_t n) {
    return {bytes.at - n};
}
// How far beyond a multiple of 4 bytes lie.
__device__ inline unsigned beyond_word(const uint8_t* bytes) {
    return static_cast<unsigned>(reinterpret_cast<uintptr_t>(bytes) & 3);
}
__device__ inline unsigned beyond_word(SharedBytes bytes) {
#if defined(__CUDA_ARCH__)
    return static_cast<unsigned>(__cvta_generic_to_shared(bytes.at)) & 3;
#else
    return beyond_word(bytes.at);
#endif
}

__device__ inline void words_of(const uint4& four, uint32_t* words) {
    words[0] = four.x;
    words[1] = four.y;
    words[2] = four.z;
    words[3] = four.w;
}

// One value at an address that suits it.
template <class T>
__device__ inline T load_one(const uint8_t* from) {
    return __ldg(reinterpret_cast<const T*>(from));
}
template <class T>
__device__ inline T load_one(SharedBytes from) {
    return *reinterpret_cast<const T*>(from.at);
}

// kWords words from an address that is a multiple of kAlign: 16, 8, 4, 2 or 1. What is not aligned to 4 is
// joined from aligned words, of which the last one has a byte that is asked for: nothing is read beyond
// the multiple of 4 behind the end.
template <int kAlign, int kWords, class Bytes>
__device__ inline void load_words(Bytes from, uint32_t* words) {
    if constexpr (kAlign % 16 == 0 && kWords % 4 == 0) {
#pragma unroll
        for (int i = 0; i < kWords; i += 4) words_of(load_one<uint4>(from + 4 * i), words + i);
    } else if constexpr (kAlign % 8 == 0 && kWords % 2 == 0) {
#pragma unroll
        for (int i = 0; i < kWords; i += 2) {
            const uint2 two = load_one<uint2>(from + 4 * i);
            words[i] = two.x;
            words[i + 1] = two.y;
        }
    } else if constexpr (kAlign % 4 == 0) {
#pragma unroll
        for (int i = 0; i < kWords; ++i) words[i] = load_one<uint32_t>(from + 4 * i);
    } else {
        const unsigned beyond = beyond_word(from);
        const Bytes base = from - beyond;
        const unsigned shift = beyond * 8;
        uint32_t next[kWords + 1];
#pragma unroll
        for (int i = 0; i < kWords; ++i) next[i] = load_one<uint32_t>(base + 4 * i);
        next[kWords] = shift != 0 ? load_one<uint32_t>(base + 4 * kWords) : 0;
#pragma unroll
        for (int i = 0; i < kWords; ++i) words[i] = __funnelshift_r(next[i], next[i + 1], shift);
    }
}

// Asks for the 128 bytes around an address, without waiting for them.
__device__ inline void prefetch_l2(const uint8_t* address) {
#if defined(__CUDA_ARCH__)
    asm volatile("prefetch.global.L2 [%0];" : : "l"(address));
#else
    (void)address;
#endif
}

// 16 bits at an even address.
template <class Bytes>
__device__ inline uint32_t load_16(Bytes from) {
    return load_one<uint16_t>(from);
}
template <class Bytes>
__device__ inline float load_half(Bytes from) {
    return half_value(load_16(from));
}

}  // namespace puna::cuda
