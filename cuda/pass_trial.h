// Which of two ways to run passes of one row is the faster one on this device. They give the same bits, so
// they take turns on real passes until each has been timed some times. The shortest time counts: the first
// launch of a graph takes longer.
#pragma once

namespace puna::cuda {

// Kernel by kernel, or all layers as one (token_pass.h).
enum class PassWay { kApart, kTogether };
constexpr int kPassWays = 2;

class PassTrial {
  public:
    // Until this is called there is one way alone.
    void allow_together() { has_choice_ = true; }
    // For good: the driver would not have it.
    void forbid_together() { has_choice_ = false; }

    PassWay next() const {
        if (!has_choice_) return PassWay::kApart;
        if (is_decided()) return shortest_[1] < shortest_[0] ? PassWay::kTogether : PassWay::kApart;
        return n_timed_[1] < n_timed_[0] ? PassWay::kTogether : PassWay::kApart;
    }
    bool is_decided() const { return !has_choice_ || n_timed_[1] == kTimes; }
    // As puna_backend.h wants it.
    const char* text() const {
        if (!has_choice_ || !is_decided()) return "";
        return next() == PassWay::kTogether ? "one kernel" : "many kernels";
    }
    void add(PassWay way, float milliseconds) {
        const int i = static_cast<int>(way);
        if (n_timed_[i] == 0 || milliseconds < shortest_[i]) shortest_[i] = milliseconds;
        ++n_timed_[i];
    }

  private:
    static constexpr int kTimes = 4;

    bool has_choice_ = false;
    int n_timed_[kPassWays] = {};
    float shortest_[kPassWays] = {};
};

}  // namespace puna::cuda
