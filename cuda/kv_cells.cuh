// Where cells lie in the cache, and how heads get in and out of it.
#pragma once

#include <cstddef>

#include "cuda/device_math.cuh"
#include "cuda/forward.h"

namespace puna::cuda {

constexpr int kKvSpan = 32;  // elements of Q8_0 with a scale

__host__ __device__ inline int64_t kv_element_bytes(int32_t type) {
    return type == PUNA_KV_F32 ? 4 : type == PUNA_KV_Q8_0 ? 1 : 2;
}
__host__ __device__ inline int64_t kv_head_scales(const KvHalf& half) {
    return half.type == PUNA_KV_Q8_0 ? (half.head_dim + kKvSpan - 1) / kKvSpan : 0;
}
__host__ __device__ inline int64_t align_layer(int64_t bytes) {
    return (bytes + 255) / 256 * 256;
}
// Of all heads of a cell, and of all cells of a layer.
__host__ __device__ inline int64_t kv_cell_bytes(const KvHalf& half) {
    return half.n_head_kv * half.head_dim * kv_element_bytes(half.type);
}
__host__ __device__ inline int64_t kv_cell_scales(const KvHalf& half) {
    return half.n_head_kv * kv_head_scales(half);
}
__host__ __device__ inline int64_t kv_layer_bytes(const KvHalf& half) {
    return align_layer(half.n_cells * kv_cell_bytes(half));
}
__host__ __device__ inline int64_t kv_layer_scale_bytes(const KvHalf& half) {
    return align_layer(half.n_cells * kv_cell_scales(half) * 2);
}

// One head of one cell.
struct KvHead {
    uint8_t* data;
    uint16_t* scales;
};
__device__ inline KvHead kv_head(const KvHalf& half, int32_t layer, int64_t cell, int64_t head) {
    KvHead place;
    place.data = half.data + layer * kv_layer_bytes(half) + cell * kv_cell_bytes(half) +
                 head * half.head_dim * kv_element_bytes(half.type);
    place.scales = half.scales ? half.scales + layer * kv_layer_scale_bytes(half) / 2 +
                                     cell * kv_cell_scales(half) + head * kv_head_scales(half)
                               : nullptr;
    return place;
}

// One element as a float. kType: PUNA_KV_*.
template <int kType>
__device__ inline float kv_element(const KvHead& head, int64_t d) {
    if constexpr (kType == PUNA_KV_F32) return reinterpret_cast<const float*>(head.data)[d];
    if constexpr (kType == PUNA_KV_F16) {
        return half_value(reinterpret_cast<const uint16_t*>(head.data)[d]);
    }
    if constexpr (kType == PUNA_KV_BF16) {
        return bfloat16_value(reinterpret_cast<const uint16_t*>(head.data)[d]);
    }
    const auto quant = static_cast<int>(reinterpret_cast<const int8_t*>(head.data)[d]);
    return half_value(head.scales[d / kKvSpan]) * static_cast<float>(quant);
}
__device__ inline float kv_element(int32_t type, const KvHead& head, int64_t d) {
    switch (type) {
        case PUNA_KV_F32:
            return kv_element<PUNA_KV_F32>(head, d);
        case PUNA_KV_F16:
            return kv_element<PUNA_KV_F16>(head, d);
        case PUNA_KV_BF16:
            return kv_element<PUNA_KV_BF16>(head, d);
        default:
            return kv_element<PUNA_KV_Q8_0>(head, d);
    }
}

// What a lane of attention takes at a time.
constexpr int kKvWide = 8;
// Of a cache whose types and sizes of heads are looked at where it is read.
constexpr int kKvAnyType = -1;

// kWords words from an aligned address. Not by __ldg: a kernel may have written them itself.
template <int kWords>
__device__ inline void load_cell_words(const uint8_t* from, uint32_t* words) {
    if constexpr (kWords == 2) {
        const uint2 two = *reinterpret_cast<const uint2*>(from);
        words[0] = two.x;
        words[1] = two.y;
    } else {
#pragma unroll
        for (int i = 0; i < kWords; i += 4) {
            words_of(*reinterpret_cast<const uint4*>(from + 4 * i), words + i);
        }
    }
}

// Elements d .. d + 7 as floats; head_dim is a multiple of 8, and so is d.
template <int kType>
__device__ inline void load_kv_wide(const KvHead& head, int d, float* out) {
    if constexpr (kType == PUNA_KV_F32) {
        uint32_t words[8];
        load_cell_words<8>(head.data + 4 * d, words);
#pragma unroll
        for (int i = 0; i < kKvWide; ++i) out[i] = __uint_as_float(words[i]);
    } else if constexpr (kType == PUNA_KV_Q8_0) {
        uint32_t words[2];
        load_cell_words<2>(head.data + d, words);
        const float scale = half_value(head.scales[d / kKvSpan]);
#pragma unroll
        for (int i = 0; i < kKvWide; ++i) {
            const auto quant = static_cast<int8_t>(words[i / 4] >> i % 4 * 8 & 255u);
            out[i] = scale * __int2float_rn(quant);
        }
    } else {
        uint32_t words[4];
        load_cell_words<4>(head.data + 2 * d, words);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            constexpr bool kIsHalf = kType == PUNA_KV_F16;
            out[2 * i] =
                kIsHalf ? half_value(words[i] & 0xffffu) : bfloat16_value(words[i] & 0xffffu);
            out[2 * i + 1] = kIsHalf ? half_value(words[i] >> 16) : bfloat16_value(words[i] >> 16);
        }
    }
}

// Elements d .. d + 7 as floats, 0 from head_dim on. kType: PUNA_KV_* of the half, whose head_dim is a
// multiple of 8 then; or kKvAnyType.
template <int kType>
__device__ inline void load_kv(const KvHalf& half, const KvHead& head, int d, float* out) {
    if constexpr (kType != kKvAnyType) {
        load_kv_wide<kType>(head, d, out);
    } else if (half.head_dim % kKvWide != 0) {
#pragma unroll
        for (int i = 0; i < kKvWide; ++i) {
            out[i] = d + i < half.head_dim ? kv_element(half.type, head, d + i) : 0.0f;
        }
    } else if (half.type == PUNA_KV_F32) {
        load_kv_wide<PUNA_KV_F32>(head, d, out);
    } else if (half.type == PUNA_KV_F16) {
        load_kv_wide<PUNA_KV_F16>(head, d, out);
    } else if (half.type == PUNA_KV_BF16) {
        load_kv_wide<PUNA_KV_BF16>(head, d, out);
    } else {
        load_kv_wide<PUNA_KV_Q8_0>(head, d, out);
    }
}

// A span of 32 elements (or fewer, where the head ends) into the cache, an element for each lane. As
// kv_encode_q8_0_scalar of the CPU: a scale of 0, or one that is not finite, has quants of 0.
__device__ inline void store_q8_0(float x, bool is_there, const KvHead& head, int64_t d) {
    const uint32_t largest = warp_max(is_there ? __float_as_uint(x) & 0x7fffffffu : 0u);
    const uint16_t scale = half_bits(__fdiv_rn(__uint_as_float(largest), 127.0f));
    const bool is_usable = scale != 0 && scale < 0x7c00u;
    const float inverse = is_usable ? __fdiv_rn(1.0f, half_value(scale)) : 0.0f;
    const float scaled = fminf(fmaxf(__fmul_rn(x, inverse), -127.0f), 127.0f);
    if (is_there) {
        head.data[d] = static_cast<uint8_t>(is_usable ? __float2int_rn(scaled) : 0);
    }
    if (lane_of_thread() == 0) head.scales[d / kKvSpan] = scale;
}

// A whole head, by a warp. `from` [head_dim] is what all lanes see.
__device__ inline void store_head(const KvHalf& half, const KvHead& head, const float* from) {
    for (int64_t first = 0; first < half.head_dim; first += kWarp) {
        const int64_t d = first + lane_of_thread();
        const bool is_there = d < half.head_dim;
        const float x = is_there ? from[d] : 0.0f;
        if (half.type == PUNA_KV_Q8_0) {
            store_q8_0(x, is_there, head, d);
        } else if (!is_there) {
            continue;
        } else if (half.type == PUNA_KV_F32) {
            reinterpret_cast<float*>(head.data)[d] = x;
        } else {
            reinterpret_cast<uint16_t*>(head.data)[d] =
                half.type == PUNA_KV_F16 ? half_bits(x) : bfloat16_bits(x);
        }
    }
}

}  // namespace puna::cuda
