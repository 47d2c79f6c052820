// The device language: barriers, warp operations, atomics, intrinsics. Included by cuda_runtime.h.
#pragma once

#include <algorithm>
#include <bit>

#include "emulated_launch.h"

// ---- Barriers and warps -------------------------------------------------------------------------

inline void __syncthreads() {
    cuda_emulator::block_barrier(false);
}
inline int __syncthreads_count(int condition) {
    return cuda_emulator::block_barrier(condition != 0);
}
inline int __syncthreads_or(int condition) {
    return cuda_emulator::block_barrier(condition != 0) != 0;
}
inline int __syncthreads_and(int condition) {
    return cuda_emulator::block_barrier(condition == 0) == 0;
}
inline void __syncwarp(unsigned mask = ~0u) {
    cuda_emulator::warp_exchange(mask, 0, cuda_emulator::lane());
}
inline void cudaGridDependencySynchronize() {
    cuda_emulator::wait_for_last_kernel();
}
inline void cudaTriggerProgrammaticLaunchCompletion() {}
inline void __threadfence() {}
inline void __threadfence_block() {}

namespace cuda_emulator {

template <class T>
T shuffle(unsigned mask, T value, int source) {
    static_assert(sizeof(T) <= 8);
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof value);
    bits = warp_exchange(mask, bits, source).value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

}  // namespace cuda_emulator

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
    const int first = cuda_emulator::lane() / width * width;
    return cuda_emulator::shuffle(mask, value, first + source % width);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32) {
    const int lane = cuda_emulator::lane();
    const int source = lane ^ bits;
    return cuda_emulator::shuffle(mask, value, source / width == lane / width ? source : lane);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
    const int lane = cuda_emulator::lane();
    const int source = lane + static_cast<int>(delta);
    return cuda_emulator::shuffle(mask, value, source / width == lane / width ? source : lane);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
    const int lane = cuda_emulator::lane();
    const int source = lane - static_cast<int>(delta);
    return cuda_emulator::shuffle(mask, value, source >= lane / width * width ? source : lane);
}
inline unsigned __ballot_sync(unsigned mask, int condition) {
    return cuda_emulator::warp_exchange(mask, condition != 0, cuda_emulator::lane()).ballot;
}
inline int __any_sync(unsigned mask, int condition) {
    return __ballot_sync(mask, condition) != 0;
}
inline int __all_sync(unsigned mask, int condition) {
    return __ballot_sync(mask, condition == 0) == 0;
}

namespace cuda_emulator {

template <class T, class Join>
T reduce(unsigned mask, T value, const Join& join) {
    uint64_t values[32];
    warp_values(mask, static_cast<uint32_t>(value), values);
    bool is_first = true;
    T result = value;
    for (int l = 0; l < 32; ++l) {
        if ((mask >> l & 1) == 0) continue;
        const auto other = static_cast<T>(static_cast<uint32_t>(values[l]));
        result = is_first ? other : join(result, other);
        is_first = false;
    }
    return result;
}

}  // namespace cuda_emulator

template <class T>
T __reduce_add_sync(unsigned mask, T value) {
    return cuda_emulator::reduce(mask, value, [](T a, T b) { return a + b; });
}
template <class T>
T __reduce_max_sync(unsigned mask, T value) {
    return cuda_emulator::reduce(mask, value, [](T a, T b) { return a > b ? a : b; });
}
template <class T>
T __reduce_min_sync(unsigned mask, T value) {
    return cuda_emulator::reduce(mask, value, [](T a, T b) { return a < b ? a : b; });
}

// ---- Atomics: one thread runs at a time ---------------------------------------------------------

template <class T, class U>
T atomicAdd(T* address, U value) {
    const T old = *address;
    *address = static_cast<T>(old + static_cast<T>(value));
    return old;
}
// Up to `most`, then from 0 again.
inline unsigned atomicInc(unsigned* address, unsigned most) {
    const unsigned old = *address;
    *address = old >= most ? 0 : old + 1;
    return old;
}
template <class T, class U>
T atomicMax(T* address, U value) {
    const T old = *address;
    if (static_cast<T>(value) > old) *address = static_cast<T>(value);
    return old;
}
template <class T, class U>
T atomicMin(T* address, U value) {
    const T old = *address;
    if (static_cast<T>(value) < old) *address = static_cast<T>(value);
    return old;
}
template <class T, class U>
T atomicOr(T* address, U value) {
    const T old = *address;
    *address = old | static_cast<T>(value);
    return old;
}
template <class T, class U>
T atomicExch(T* address, U value) {
    const T old = *address;
    *address = static_cast<T>(value);
    return old;
}
template <class T, class U, class V>
T atomicCAS(T* address, U expected, V value) {
    const T old = *address;
    if (old == static_cast<T>(expected)) *address = static_cast<T>(value);
    return old;
}

// ---- Intrinsics ---------------------------------------------------------------------------------

template <class T>
T __ldg(const T* address) {
    return *address;
}
template <class T>
T __ldcg(const T* address) {
    return *address;
}
template <class T>
T __ldcs(const T* address) {
    return *address;
}
inline int __dp4a(int a, int b, int sum) {
    for (int i = 0; i < 4; ++i) {
        sum += static_cast<int8_t>(a >> 8 * i) * static_cast<int8_t>(b >> 8 * i);
    }
    return sum;
}
inline unsigned __dp4a(unsigned a, unsigned b, unsigned sum) {
    for (int i = 0; i < 4; ++i) sum += (a >> 8 * i & 255u) * (b >> 8 * i & 255u);
    return sum;
}
inline int __popc(unsigned bits) {
    return std::popcount(bits);
}
inline int __clz(int bits) {
    return std::countl_zero(static_cast<unsigned>(bits));
}
inline int __ffs(int bits) {
    return bits == 0 ? 0 : std::countr_zero(static_cast<unsigned>(bits)) + 1;
}
inline unsigned __brev(unsigned bits) {
    unsigned turned = 0;
    for (int i = 0; i < 32; ++i) turned |= (bits >> i & 1u) << (31 - i);
    return turned;
}
inline unsigned __byte_perm(unsigned low, unsigned high, unsigned selector) {
    const uint64_t bytes = uint64_t{high} << 32 | low;
    unsigned result = 0;
    for (int i = 0; i < 4; ++i) {
        const unsigned choice = selector >> 4 * i & 15u;
        unsigned byte = static_cast<unsigned>(bytes >> (choice & 7u) * 8) & 255u;
        if ((choice & 8u) != 0) byte = (byte & 128u) != 0 ? 255u : 0u;
        result |= byte << 8 * i;
    }
    return result;
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
    return static_cast<unsigned>((uint64_t{high} << 32 | low) >> (shift & 31u));
}
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
    return static_cast<unsigned>((uint64_t{high} << 32 | low) << (shift & 31u) >> 32);
}
inline unsigned __vadd4(unsigned a, unsigned b) {
    return ((a & 0x7f7f7f7fu) + (b & 0x7f7f7f7fu)) ^ ((a ^ b) & 0x80808080u);
}
inline unsigned __vsub4(unsigned a, unsigned b) {
    return ((a | 0x80808080u) - (b & 0x7f7f7f7fu)) ^ ((a ^ ~b) & 0x80808080u);
}
inline unsigned __float_as_uint(float value) {
    return std::bit_cast<unsigned>(value);
}
inline int __float_as_int(float value) {
    return std::bit_cast<int>(value);
}
inline float __uint_as_float(unsigned bits) {
    return std::bit_cast<float>(bits);
}
inline float __int_as_float(int bits) {
    return std::bit_cast<float>(bits);
}
inline int __float2int_rn(float value) {
    return static_cast<int>(std::nearbyintf(value));
}
inline float __int2float_rn(int value) {
    return static_cast<float>(value);
}
inline float __fadd_rn(float a, float b) {
    return a + b;
}
inline float __fmul_rn(float a, float b) {
    return a * b;
}
inline float __fdiv_rn(float a, float b) {
    return a / b;
}
inline float __fmaf_rn(float a, float b, float c) {
    return std::fmaf(a, b, c);
}
inline float rsqrtf(float value) {
    return 1.0f / std::sqrt(value);
}
inline float __expf(float value) {
    return std::exp(value);
}
// The compiler of the toolkit has these in the global namespace, for mixed integers too.
using std::max;
using std::min;
