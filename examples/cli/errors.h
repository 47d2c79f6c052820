// How a command ends when it does not end well. Any other exception is a failure: status 1.
#pragma once

#include <stdexcept>

namespace cli {

// kInterrupted becomes interrupted_status(); it is that of Ctrl-C.
enum ExitStatus { kDone = 0, kFailed = 1, kUsage = 2, kInterrupted = 130 };

// The command line is wrong: status 2.
struct UsageError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Ctrl-C or another signal came before there was anything to show.
struct Interrupted {};

// Nobody reads standard output any more, as under `| head`: no reason to complain.
struct OutputClosed {};

}  // namespace cli
