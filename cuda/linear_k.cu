// Q2_K to Q6_K.
#include "cuda/blocks_k.cuh"
#include "cuda/linear_family.cuh"

namespace puna::cuda {

LinearFamily linear_k(int32_t format) {
    switch (format) {
        case PUNA_FORMAT_Q2_K:
            return quantised_family<Q2_K>();
        case PUNA_FORMAT_Q3_K:
            return quantised_family<Q3_K>();
        case PUNA_FORMAT_Q4_K:
            return quantised_family<Q4_K>();
        case PUNA_FORMAT_Q5_K:
            return quantised_family<Q5_K>();
        case PUNA_FORMAT_Q6_K:
            return quantised_family<Q6_K>();
        default:
            return {};
    }
}

}  // namespace puna::cuda
