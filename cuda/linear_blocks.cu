// The formats of 32 elements with one scale, and those of three values.
#include "cuda/blocks.cuh"
#include "cuda/linear_family.cuh"

namespace puna::cuda {

LinearFamily linear_blocks(int32_t format) {
    switch (format) {
        case PUNA_FORMAT_Q4_0:
            return quantised_family<Q4_0>();
        case PUNA_FORMAT_Q4_1:
            return quantised_family<Q4_1>();
        case PUNA_FORMAT_Q5_0:
            return quantised_family<Q5_0>();
        case PUNA_FORMAT_Q5_1:
            return quantised_family<Q5_1>();
        case PUNA_FORMAT_Q8_0:
            return quantised_family<Q8_0>();
        case PUNA_FORMAT_TQ1_0:
            return quantised_family<TQ1_0>();
        case PUNA_FORMAT_TQ2_0:
            return quantised_family<TQ2_0>();
        default:
            return {};
    }
}

}  // namespace puna::cuda
