// AMX for tests, on processors that lack it.
#pragma once

#include <cstdint>

namespace puna::test {

// The features of a processor, and AMX if it has everything else that the set `amx` needs: where it
// lacks AMX, a handler of SIGILL carries out the AMX instructions of all threads from then on. What is
// tested is the code that processors with AMX run. Linux on x86-64; elsewhere `features` as they are.
uint64_t with_emulated_amx(uint64_t features);

// True once the handler is there.
bool amx_is_emulated();

}  // namespace puna::test
