// operator new of this test program, counted, and failing on demand.
#pragma once

#include <cstdint>

namespace puna::test {

// Blocks and bytes that operator new has given out and not got back.
int64_t live_new_blocks();
int64_t live_new_bytes();
// The most bytes since the last call of reset_peak_new_bytes().
int64_t peak_new_bytes();
void reset_peak_new_bytes();

// Has the allocation number `index` from now on fail, counted from 0, and only that.
void fail_new_at(int64_t index);
// No allocation fails from now on; true when one has.
bool stop_failing_new();

}  // namespace puna::test
