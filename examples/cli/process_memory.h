#pragma once

#include <cstddef>
#include <cstdint>

namespace cli {

// The most memory that this process ever had resident, pages of mapped files included; 0: unknown.
uint64_t peak_resident_bytes();

// What can be taken without driving other things out of memory; 0: unknown.
uint64_t available_memory();

// Asks for large pages in memory that was allocated and not yet touched, as the library does for weights. Advice:
// nothing happens where the system has none.
void advise_large_pages(void* memory, size_t n_bytes);

}  // namespace cli
