#pragma once

#include <chrono>
#include <string>

#include "status_line.h"

namespace cli {

// "loading [####    ]  50 %", for work that takes long enough to be noticed.
class ProgressBar {
  public:
    explicit ProgressBar(const char* work) : work_(work) {}

    // `detail` is put behind the percent sign, and the bar is shorter for it.
    void show(float fraction, const std::string& detail = "");

  private:
    using Clock = std::chrono::steady_clock;

    const char* work_;
    StatusLine line_;
    Clock::time_point start_ = Clock::now();
};

}  // namespace cli
