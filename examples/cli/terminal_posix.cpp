#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "errors.h"
#include "terminal.h"

namespace cli {
namespace {

std::atomic<puna_cancel*> on_interrupt{nullptr};
static_assert(std::atomic<puna_cancel*>::is_always_lock_free, "it is read in a signal handler");

void handle_interrupt(int) {
    puna_cancel_trigger(on_interrupt.load());
}

}  // namespace

std::vector<std::string> arguments(int argc, char** argv) {
    return {argv + (argc > 0 ? 1 : 0), argv + argc};
}

void prepare_streams() {}

bool is_terminal(std::FILE* stream) {
    return ::isatty(::fileno(stream)) == 1;
}

// Not through stdio, which loses bytes when a signal interrupts it.
void write_output(std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t written = ::write(STDOUT_FILENO, bytes.data(), bytes.size());
        if (written >= 0) {
            bytes.remove_prefix(static_cast<size_t>(written));
        } else if (errno == EPIPE) {
            throw OutputClosed();
        } else if (errno != EINTR) {
            throw std::runtime_error(std::string("standard output: ") + std::strerror(errno));
        }
    }
}

std::FILE* open_file(const std::string& path, const char* mode) {
    return std::fopen(path.c_str(), mode);
}

bool flush_to_disk(std::FILE* file) {
    return std::fflush(file) == 0 && ::fsync(::fileno(file)) == 0;
}

Interrupt::Interrupt() {
    on_interrupt = cancel_.handle();
    struct sigaction action {};
    action.sa_handler = handle_interrupt;
    // Without SA_RESTART, so that waiting for standard input ends too.
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    ::sigaction(SIGINT, &action, nullptr);
}

Interrupt::~Interrupt() {
    ::signal(SIGINT, SIG_DFL);
    on_interrupt = nullptr;
}

}  // namespace cli
