#pragma once

#include <chrono>
#include <cstdint>

#include "progress_bar.h"

namespace cli {

// "downloading [####    ]  50 % of 1.17 GB, 12.3 MB/s, 51 s left"
class TransferMeter {
  public:
    // Bytes: all there are, and those that are here already.
    TransferMeter(uint64_t whole, uint64_t here) : whole_(whole), counted_(here) {}

    void show(uint64_t here);

  private:
    using Clock = std::chrono::steady_clock;

    void measure(uint64_t here);

    ProgressBar bar_{"downloading"};
    uint64_t whole_;
    uint64_t counted_;  // at `since_`
    Clock::time_point since_ = Clock::now();
    double rate_ = 0;  // bytes per second; 0: not known yet
};

}  // namespace cli
