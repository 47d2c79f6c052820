// Libraries loaded at run time: backend plugins and what they need.
#pragma once

#include <string>
#include <utility>

#include "base/status.h"

namespace puna::core {

// Closes the library when it goes: code and data from it must not be used any more.
class SharedLibrary {
  public:
    SharedLibrary() = default;
    SharedLibrary(SharedLibrary&& other) noexcept
        : handle_(std::exchange(other.handle_, nullptr)) {}
    SharedLibrary& operator=(SharedLibrary&& other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }
    ~SharedLibrary();

    // All its symbols are resolved now and serve nobody else. The path is UTF-8; a name without a
    // folder is searched where the system searches libraries.
    static Result<SharedLibrary> open(const std::string& path);

    // Null when there is no such symbol.
    void* symbol(const char* name) const;

  private:
    void* handle_ = nullptr;
};

// The folder of the module (program or library) that contains this code, absolute, without a
// separator at the end unless it is a root.
Result<std::string> own_directory();

}  // namespace puna::core
