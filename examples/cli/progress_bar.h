#pragma once

#include <chrono>

#include "status_line.h"

namespace cli {

// "loading [####    ]  50 %", for work that takes long enough to be noticed.
class ProgressBar {
  public:
    explicit ProgressBar(const char* work) : work_(work) {}

    void show(float fraction);

  private:
    using Clock = std::chrono::steady_clock;

    const char* work_;
    StatusLine line_;
    Clock::time_point start_ = Clock::now();
};

}  // namespace cli
