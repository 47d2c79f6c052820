// Loops whose index is a constant.
#pragma once

namespace puna::core {
namespace {

// A number as a type.
template <int kValue>
struct Index {
    constexpr operator int() const { return kValue; }
};

// step(Index<0>()) to step(Index<kCount - 1>()): lanes must be constants, and loops around arrays of
// accumulators leave these in memory.
template <int kCount, int kFirst = 0, class Step>
[[gnu::always_inline]] inline void unroll(Step step) {
    if constexpr (kFirst < kCount) {
        step(Index<kFirst>());
        unroll<kCount, kFirst + 1>(step);
    }
}

}  // namespace
}  // namespace puna::core
