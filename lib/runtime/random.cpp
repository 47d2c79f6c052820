#include "runtime/random.h"

#include <atomic>
#include <chrono>

#include "base/clock.h"

namespace puna::core {
namespace {

// One step of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
uint64_t split_mix(uint64_t& state) {
    state += 0x9e3779b97f4a7c15u;
    uint64_t mixed = state;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
    return mixed ^ mixed >> 31;
}

}  // namespace

Random::Random(uint32_t seed) {
    uint64_t mixer = seed;
    for (uint64_t& word : state_) word = split_mix(mixer);
}

uint32_t random_seed() {
    // The counter tells calls within one tick of the clocks apart, the address (where the system
    // randomizes it) processes that start in the same tick.
    static std::atomic<uint32_t> n_calls{0};
    const auto wall_time = std::chrono::system_clock::now().time_since_epoch().count();
    uint64_t state = static_cast<uint64_t>(wall_time);
    state = split_mix(state) ^ static_cast<uint64_t>(now_ns());
    state = split_mix(state) ^ reinterpret_cast<uintptr_t>(&state);
    state = split_mix(state) ^ n_calls.fetch_add(1, std::memory_order_relaxed);
    const uint32_t seed = static_cast<uint32_t>(split_mix(state) >> 32);
    return seed == 0 ? 1 : seed;
}

}  // namespace puna::core
