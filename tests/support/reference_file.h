#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "support/model_file.h"
#include "support/reference_forward.h"

namespace puna::test {

// A GGUF file of the family "llama" as the reference computes with it, its weights as lib/format
// dequantises them. Checks that no read goes past the end and trusts the file otherwise; throws
// std::runtime_error when something is missing.
ReferenceModel read_reference(std::span<const uint8_t> file);
ReferenceModel read_reference(const ModelFile& file);
ReferenceModel load_reference(const std::string& path);

}  // namespace puna::test
