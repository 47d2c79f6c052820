// Random numbers for sampling: the same sequence for the same seed on every platform.
#pragma once

#include <bit>
#include <cstdint>

namespace puna::core {

// xoshiro256** 1.0 (Blackman and Vigna, arXiv 1805.01407), its state filled from the seed by
// SplitMix64 as its authors advise.
class Random {
  public:
    explicit Random(uint32_t seed);

    uint64_t next() {
        const uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
        const uint64_t shifted = state_[1] << 17;
        state_[2] ^= state_[0];
        state_[3] ^= state_[1];
        state_[1] ^= state_[2];
        state_[0] ^= state_[3];
        state_[2] ^= shifted;
        state_[3] = std::rotl(state_[3], 45);
        return result;
    }

    // Uniform over the multiples of 2^-53 in [0, 1).
    double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }

  private:
    uint64_t state_[4];
};

// A seed that differs from call to call and from process to process; never 0. No secret.
uint32_t random_seed();

}  // namespace puna::core
