#pragma once

#include <cstdint>
#include <vector>

namespace puna::test {

// Random numbers with the same bits on every platform: integer steps (the SplitMix64 sequence)
// and sums that a double holds exactly, no library distribution and no libm.
class RandomNumbers {
  public:
    explicit RandomNumbers(uint64_t seed) : state_(seed) {}

    uint64_t next() {
        state_ += 0x9e3779b97f4a7c15u;
        uint64_t mixed = state_;
        mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
        mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
        return mixed ^ mixed >> 31;
    }

    // 0 to bound - 1. The bias of the remainder is below bound / 2^64.
    uint64_t below(uint64_t bound) { return next() % bound; }

    // Mean 0, deviation 1, within +-6: the sum of twelve 16-bit numbers, centred, is close to
    // normal and is a multiple of 2^-16.
    double normal() {
        constexpr int64_t kMeanOfSum = 12 * 0xffff / 2;
        int64_t sum = 0;
        for (int draw = 0; draw < 3; ++draw) {
            const uint64_t bits = next();
            for (int lane = 0; lane < 4; ++lane) {
                sum += static_cast<int64_t>(bits >> 16 * lane & 0xffff);
            }
        }
        return static_cast<double>(sum - kMeanOfSum) / 0x1p16;
    }

  private:
    uint64_t state_;
};

// n numbers of mean 0 and deviation 1.
inline std::vector<float> random_floats(int64_t n, uint64_t seed) {
    RandomNumbers random(seed);
    std::vector<float> values(static_cast<size_t>(n));
    for (float& value : values) value = static_cast<float>(random.normal());
    return values;
}

}  // namespace puna::test
