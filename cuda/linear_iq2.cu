// The grids of IQ1 and IQ2.
#include "cuda/blocks_iq.cuh"
#include "cuda/linear_family.cuh"

namespace puna::cuda {

LinearFamily linear_iq2(int32_t format) {
    switch (format) {
        case PUNA_FORMAT_IQ1_S:
            return quantised_family<IQ1_S>();
        case PUNA_FORMAT_IQ1_M:
            return quantised_family<IQ1_M>();
        case PUNA_FORMAT_IQ2_XXS:
            return quantised_family<IQ2_XXS>();
        case PUNA_FORMAT_IQ2_XS:
            return quantised_family<IQ2_XS>();
        case PUNA_FORMAT_IQ2_S:
            return quantised_family<IQ2_S>();
        default:
            return {};
    }
}

}  // namespace puna::cuda
