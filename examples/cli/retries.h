#pragma once

#include "terminal.h"

namespace cli {

// How often what failed is tried again, and when.
class Retries {
  public:
    explicit Retries(const Interrupt& interrupt) : interrupt_(interrupt) {}

    // After a try that failed: waits, a little longer each time, until the next one is due. One that
    // brought something makes patience begin anew. False: that was the last one. Throws Interrupted.
    bool wait(bool has_progressed = false);

  private:
    const Interrupt& interrupt_;
    int n_failed_ = 0;  // in a row, without progress
};

}  // namespace cli
