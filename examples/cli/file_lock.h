#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "terminal.h"

namespace cli {

// Held by one process at a time, and let go by the system when that ends in whatever way. The same
// lock as the Python package filelock takes. The file itself stays.
class FileLock {
  public:
    // Creates the file where it is missing. While another process holds the lock this waits, after
    // a call of `on_wait`. Throws std::runtime_error, or Interrupted.
    FileLock(const std::string& path, const Interrupt& interrupt,
             const std::function<void()>& on_wait);
    ~FileLock();
    FileLock(const FileLock&) = delete;
    FileLock& operator=(const FileLock&) = delete;

  private:
    intptr_t file_;  // a descriptor
};

}  // namespace cli
