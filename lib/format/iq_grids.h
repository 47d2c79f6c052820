// The values that the codes and grid entries of the IQ formats (and of MXFP4) stand for.
//
// They are part of the GGUF format, as ggml implements it; no rule derives them.
#pragma once

#include <cstdint>

namespace puna::core {

constexpr int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                   1,    13,   25,  38,  53,  69,  89,  113};

// The 4-bit floats 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives, doubled.
constexpr int8_t kMxfp4Values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// Grid entries of 8 elements: bits 2 k and 2 k + 1 choose the magnitude of element k.
extern const uint16_t kIq2XxsGrid[256];
extern const uint16_t kIq2XsGrid[512];
extern const uint16_t kIq2SGrid[1024];
constexpr int8_t kIq2Values[3] = {0x08, 0x19, 0x2b};

// The same for IQ1_S and IQ1_M.
extern const uint16_t kIq1Grid[2048];
constexpr int8_t kIq1Values[3] = {-1, 0, 1};

// Grid entries of 4 elements: nibble k chooses the magnitude of element k.
extern const uint16_t kIq3XxsGrid[256];
constexpr int8_t kIq3XxsValues[8] = {0x04, 0x0c, 0x14, 0x1c, 0x24, 0x2c, 0x34, 0x3e};
extern const uint16_t kIq3SGrid[512];
constexpr int8_t kIq3SValues[8] = {0x01, 0x03, 0x05, 0x07, 0x09, 0x0b, 0x0d, 0x0f};

}  // namespace puna::core
