// Variables of the environment, as tests set them.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>

namespace puna::test {

// An empty value removes it.
inline void set_environment(const char* name, const std::string& value) {
#if defined(_WIN32)
    _putenv_s(name, value.c_str());
#else
    if (value.empty()) {
        unsetenv(name);
    } else {
        setenv(name, value.c_str(), 1);
    }
#endif
}

// A variable of the environment for as long as this lives.
class Setting {
  public:
    Setting(const char* name, uint64_t value) : name_(name) {
        set_environment(name, std::to_string(value));
    }
    ~Setting() { set_environment(name_, ""); }
    Setting(const Setting&) = delete;
    Setting& operator=(const Setting&) = delete;

  private:
    const char* name_;
};

}  // namespace puna::test
