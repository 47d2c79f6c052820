// What is done with the sums of a product.
#pragma once

#include "cuda/device_math.cuh"
#include "cuda/linear.h"

namespace puna::cuda {

// activation(gate) * up
__device__ inline float activate(int32_t activation, float gate, float up) {
    if (activation == PUNA_ACTIVATION_SILU) return gate / (1.0f + expf(-gate)) * up;
    if (activation == PUNA_ACTIVATION_GELU) {
        return 0.5f * gate * (1.0f + erff(gate * 0.70710678f)) * up;
    }
    const float inner = 0.79788456f * __fmaf_rn(0.044715f * gate * gate, gate, gate);
    return 0.5f * gate * (1.0f + tanhf(inner)) * up;
}

// The same to some of the last bits.
__device__ inline float activate_quickly(int32_t activation, float gate, float up) {
    if (activation != PUNA_ACTIVATION_SILU) return activate(activation, gate, up);
    constexpr float kLog2E = 1.44269504f;
    return gate * up * quick_inverse(1.0f + quick_exp2(-kLog2E * gate));
}

// Where an output of a job is.
struct OutputPlace {
    int part;
    int64_t row;  // of the part's matrix
};
__device__ inline OutputPlace place_of(const LinearJob& job, int64_t output) {
    OutputPlace place = {0, output};
    while (place.part + 1 < job.n_parts && place.row >= job.parts[place.part].rows) {
        place.row -= job.parts[place.part].rows;
        ++place.part;
    }
    return place;
}
// Output `index` of all that blocks have, where the gate and the up of one are 8 apart.
__device__ inline OutputPlace place_in_pairs(const LinearJob& job, int64_t index) {
    if (job.epilogue != Epilogue::kGateUp) return place_of(job, index);
    return {static_cast<int>(index / 8 % 2), index / 16 * 8 + index % 8};
}
// Blocks have outputs up to a multiple of what is theirs.
__device__ inline bool is_in_part(const LinearJob& job, const OutputPlace& place) {
    return place.row < job.parts[place.part].rows;
}
__device__ inline const uint8_t* weights_of(const LinearJob& job, const OutputPlace& place) {
    const LinearPart& part = job.parts[place.part];
    return part.data + place.row * part.row_bytes;
}
__device__ inline float bias_of(const LinearPart& part, int64_t row) {
    return part.bias ? part.bias[row] : 0.0f;
}

__device__ inline float* place_in_y(const LinearJob& job, const OutputPlace& place, int64_t row) {
    return job.parts[place.part].y + row * job.y_stride + place.row;
}

// What becomes of one sum of kStore, kResidual or kLogits. `before`: what is there so far, for kResidual.
__device__ inline float output_value(const LinearJob& job, Epilogue epilogue, float sum, float bias,
                                     float before) {
    sum += bias;
    if (epilogue == Epilogue::kResidual) return __fmaf_rn(job.scale, sum, before);
    if (epilogue != Epilogue::kLogits) return sum;
    sum *= job.scale;
    return job.softcap != 0.0f ? job.softcap * tanhf(sum / job.softcap) : sum;
}
__device__ inline void finish(const LinearJob& job, const OutputPlace& place, int64_t row,
                              float sum, float before) {
    const float bias = bias_of(job.parts[place.part], place.row);
    *place_in_y(job, place, row) = output_value(job, job.epilogue, sum, bias, before);
}
__device__ inline void finish(const LinearJob& job, const OutputPlace& place, int64_t row,
                              float sum) {
    const bool is_residual = job.epilogue == Epilogue::kResidual;
    finish(job, place, row, sum, is_residual ? *place_in_y(job, place, row) : 0.0f);
}

// What becomes of the two sums of kGateUp.
__device__ inline float gate_up_value(const LinearJob& job, int64_t output, float gate, float up) {
    return activate(job.activation, gate + bias_of(job.parts[0], output),
                    up + bias_of(job.parts[1], output));
}
__device__ inline void finish_gate_up(const LinearJob& job, int64_t output, int64_t row, float gate,
                                      float up) {
    job.parts[0].y[row * job.y_stride + output] = gate_up_value(job, output, gate, up);
}

}  // namespace puna::cuda
