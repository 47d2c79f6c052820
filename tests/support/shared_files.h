#pragma once

#include <string>
#include <string_view>

namespace puna::test {

// The path of a file of the shared test material, such as "models/stories260K.gguf", or nothing
// when it is not there. The material lies in PUNA_SHARED_DIR, by default beside the project.
std::string shared_file(std::string_view name);

// The path of a file of the demo model or of what its training framework computes, in the tree:
// "examples/demo_model/demo.gguf", "tests/golden/data/demo.json".
std::string project_file(std::string_view name);

}  // namespace puna::test
