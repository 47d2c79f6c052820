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

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP};

std::atomic<puna_cancel*> on_interrupt{nullptr};
std::atomic<int> last_signal{0};
static_assert(std::atomic<puna_cancel*>::is_always_lock_free &&
                  std::atomic<int>::is_always_lock_free,
              "they are used in a signal handler");

void handle_signal(int signal) {
    last_signal = signal;
    puna_cancel_trigger(on_interrupt.load());
}

// Ctrl-C asks for what was generated; nobody waits for it after the others.
bool is_told_to_end() {
    return last_signal == SIGTERM || last_signal == SIGHUP;
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
        if (is_told_to_end()) throw Interrupted();
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
    for (const int signal : kSignals) {
        struct sigaction action {};
        ::sigaction(signal, nullptr, &action);
        if (action.sa_handler == SIG_IGN) continue;  // as nohup asks for
        action.sa_handler = handle_signal;
        // Without SA_RESTART, so that waiting for standard input ends too. A terminal that is closed may
        // say so twice, the system and the shell.
        action.sa_flags = signal == SIGHUP ? 0 : static_cast<int>(SA_RESETHAND);
        ::sigaction(signal, &action, nullptr);
    }
}

Interrupt::~Interrupt() {
    on_interrupt = nullptr;
}

int interrupted_status() {
    return 128 + last_signal;
}

}  // namespace cli
