// A folder of a test's own, removed with all that is in it.
#pragma once

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace puna::core::test {

class TempFolder {
  public:
    TempFolder() {
        const auto ticks = std::chrono::steady_clock::now().time_since_epoch().count();
        const auto address = reinterpret_cast<uintptr_t>(this);
        path_ = std::filesystem::temp_directory_path() /
                ("puna-test-" + std::to_string(ticks) + "-" + std::to_string(address));
        std::filesystem::create_directories(path_);
    }
    ~TempFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TempFolder(const TempFolder&) = delete;
    TempFolder& operator=(const TempFolder&) = delete;

    // UTF-8, like every path of puna. No separator at the end.
    std::string path() const { return utf8(path_); }
    std::string path(std::string_view name) const { return utf8(path_ / from_utf8(name)); }

    // Writes a file, and the folders above it; returns its path.
    std::string write(std::string_view name, std::string_view contents) const {
        const std::filesystem::path file = path_ / from_utf8(name);
        std::filesystem::create_directories(file.parent_path());
        std::ofstream(file, std::ios::binary)
            .write(contents.data(), static_cast<std::streamsize>(contents.size()));
        return utf8(file);
    }

  private:
    static std::filesystem::path from_utf8(std::string_view name) {
        return std::filesystem::path(std::u8string(name.begin(), name.end()));
    }
    static std::string utf8(const std::filesystem::path& path) {
        const std::u8string text = path.u8string();
        return std::string(text.begin(), text.end());
    }

    std::filesystem::path path_;
};

}  // namespace puna::core::test
