#include "cpu/kernels/places_avx2.h"

namespace puna::core {
namespace {

// Blocks of 32 elements: an F16 scale, then 16 bytes; byte i holds the elements i and i + 16, each a
// place in a table.
struct IQ4_NL {
    static constexpr int64_t kBlock = 32;
    static constexpr int64_t kBlockBytes = 18;

    void begin(const uint8_t* block) {
        scale = load_half(block);
        q = block + 2;
    }
    void load(int, __m256 w[kVectors]) const { scale_places(load_16(q), uneven_steps(), scale, w); }

    __m256 scale;
    const uint8_t* q;
};

}  // namespace

void linear_iq4_nl_avx2(const LinearBlock& block) {
    multiply_block<IQ4_NL>(block);
}

}  // namespace puna::core
