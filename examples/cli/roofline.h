// How near a generation came to the speed at which this machine reads memory.
#pragma once

#include <string>

#include "completion.h"
#include "puna/puna.hpp"

namespace cli {

// Measures the machine, which takes a second or two, and says it in one line. Throws Interrupted.
std::string roofline_text(const puna::Model& model, const puna::Context& context,
                          const Timings& timings, const puna::Cancel& cancel);

}  // namespace cli
