#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "terminal.h"

namespace cli {

struct CloseFile {
    void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

// Paths are UTF-8 in the program; the system may have them otherwise.
std::filesystem::path native_path(const std::string& utf8);
std::string utf8_path(const std::filesystem::path& path);

// All bytes of a file; "-" is standard input. Throws std::runtime_error or Interrupted.
std::string read_file(const std::string& path, const Interrupt& interrupt);

// Whether both name the same file, and it is there.
bool is_same_file(const std::string& a, const std::string& b);

// In bytes; 0 when it cannot be told.
uint64_t file_size(const std::string& path);

// A file that appears under its name when it is complete and not before; what was there is replaced
// then, behind a symbolic link what that leads to. "-" is standard output; that and devices are written as
// the bytes come.
class OutputFile {
  public:
    explicit OutputFile(std::string path);
    ~OutputFile();
    OutputFile(const OutputFile&) = delete;
    OutputFile& operator=(const OutputFile&) = delete;

    void write(std::string_view bytes);
    void finish();

  private:
    [[noreturn]] void fail(const char* what) const;

    std::string path_;
    std::filesystem::path target_;  // what it names behind symbolic links
    std::string temporary_;         // "": written in place
    File file_;                     // null: standard output
};

}  // namespace cli
