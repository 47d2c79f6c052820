// What the operating system knows: arguments, streams, signals. All text is UTF-8.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "puna/puna.hpp"

namespace cli {

// The arguments without the program's name.
std::vector<std::string> arguments(int argc, char** argv);

// Standard input and output carry bytes as they are.
void prepare_streams();
bool is_terminal(std::FILE* stream);

// Writes to standard output at once. Throws OutputClosed, Interrupted after SIGTERM or SIGHUP, or std::runtime_error with the reason.
void write_output(std::string_view bytes);

// As std::fopen.
std::FILE* open_file(const std::string& path, const char* mode);
// What was written to it outlasts a loss of power. False, with errno: it does not.
bool flush_to_disk(std::FILE* file);

// While it lives, the first Ctrl-C triggers `cancel`; the second ends the program. So do SIGTERM, and Ctrl-Break
// on Windows. A terminal that is closed (SIGHUP) may say so more than once, which changes nothing. What is ignored stays
// ignored.
class Interrupt {
  public:
    Interrupt();
    ~Interrupt();
    Interrupt(const Interrupt&) = delete;
    Interrupt& operator=(const Interrupt&) = delete;

    const puna::Cancel& cancel() const { return cancel_; }

  private:
    puna::Cancel cancel_;
};

// What the program exits with after that: 128 and the number of the signal.
int interrupted_status();

}  // namespace cli
