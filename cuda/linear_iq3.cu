// The grids of IQ3, and the formats of 16 values.
#include "cuda/blocks_iq.cuh"
#include "cuda/linear_family.cuh"

namespace puna::cuda {

LinearFamily linear_iq3(int32_t format) {
    switch (format) {
        case PUNA_FORMAT_IQ3_XXS:
            return quantised_family<IQ3_XXS>();
        case PUNA_FORMAT_IQ3_S:
            return quantised_family<IQ3_S>();
        case PUNA_FORMAT_IQ4_NL:
            return quantised_family<IQ4_NL>();
        case PUNA_FORMAT_IQ4_XS:
            return quantised_family<IQ4_XS>();
        case PUNA_FORMAT_MXFP4:
            return quantised_family<MXFP4>();
        default:
            return {};
    }
}

}  // namespace puna::cuda
