// What the program finds around it. All text is UTF-8.
#pragma once

#include <string>

namespace cli {

// The value of a variable; "" when it is not set.
std::string environment_variable(const char* name);

// The file that runs; "" when the system does not tell.
std::string program_path();

}  // namespace cli
