#pragma once

#include <cstdint>

namespace cli {

// The most memory that this process ever had resident, pages of mapped files included; 0: unknown.
uint64_t peak_resident_bytes();

// What can be taken without driving other things out of memory; 0: unknown.
uint64_t available_memory();

}  // namespace cli
