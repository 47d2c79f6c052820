// Reads the header of a GGUF file from untrusted bytes. Versions 2 and 3, little endian.
#pragma once

#include "base/status.h"
#include "format/byte_source.h"
#include "format/gguf_header.h"

namespace puna::core {

// Reads a whole header from the start of the source. `name` stands in every message.
//
// PUNA_ERROR_FORMAT (not GGUF, or damaged), PUNA_ERROR_FORMAT_VERSION, PUNA_ERROR_TRUNCATED, or
// what the source's callback returned. Memory stays within the bytes read and what bounded counts
// of entries need, before anything in the file is believed.
Result<GgufHeader> read_gguf(ByteSource& source, const char* name);

}  // namespace puna::core
