#pragma once

#include <string>

#include "terminal.h"

namespace cli {

// The path of the file that a MODEL argument stands for: "demo", "hf:OWNER/REPO/FILE" as hub_name.h
// has it, which may be downloaded for it, or a path itself. Throws std::runtime_error or
// Interrupted.
std::string model_path(const std::string& name, const Interrupt& interrupt);

// The model that ships with the program, installed or in the build folder.
std::string demo_model_path();

}  // namespace cli
