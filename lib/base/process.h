// The process we run in.
#pragma once

#include <cstdint>

namespace puna::core {

// Differs in a child of fork(): handles remember it to notice that they did not survive.
int64_t current_process_id();

}  // namespace puna::core
