#include <fcntl.h>
#include <io.h>
#include <windows.h>
// shellapi.h stands on windows.h
#include <shellapi.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "errors.h"
#include "terminal.h"

namespace cli {
namespace {

std::atomic<puna_cancel*> on_interrupt{nullptr};

BOOL WINAPI handle_control(DWORD event) {
    if (event != CTRL_C_EVENT && event != CTRL_BREAK_EVENT) return FALSE;
    // Taken out: the second one gets the default treatment, which ends the program.
    puna_cancel* const cancel = on_interrupt.exchange(nullptr);
    puna_cancel_trigger(cancel);
    return cancel != nullptr;
}

std::string utf8(const wchar_t* text) {
    const int size = WideCharToMultiByte(CP_UTF8, 0, text, -1, nullptr, 0, nullptr, nullptr);
    std::string out(static_cast<size_t>(std::max(size, 1)), '\0');
    WideCharToMultiByte(CP_UTF8, 0, text, -1, out.data(), size, nullptr, nullptr);
    out.pop_back();
    return out;
}

std::wstring wide(const std::string& text) {
    const int size = MultiByteToWideChar(CP_UTF8, 0, text.c_str(), -1, nullptr, 0);
    std::wstring out(static_cast<size_t>(std::max(size, 1)), L'\0');
    MultiByteToWideChar(CP_UTF8, 0, text.c_str(), -1, out.data(), size);
    out.pop_back();
    return out;
}

}  // namespace

// The argv of main is in the code page of the system, which cannot name every file.
std::vector<std::string> arguments(int, char**) {
    int count = 0;
    wchar_t** const values = CommandLineToArgvW(GetCommandLineW(), &count);
    std::vector<std::string> result;
    for (int i = 1; i < count; ++i) result.push_back(utf8(values[i]));
    LocalFree(values);
    return result;
}

void prepare_streams() {
    _setmode(_fileno(stdin), _O_BINARY);
    _setmode(_fileno(stdout), _O_BINARY);
    SetConsoleOutputCP(CP_UTF8);
}

bool is_terminal(std::FILE* stream) {
    return _isatty(_fileno(stream)) != 0;
}

void write_output(std::string_view bytes) {
    constexpr size_t kPiece = size_t{1} << 20;
    while (!bytes.empty()) {
        const auto size = static_cast<unsigned>(std::min(bytes.size(), kPiece));
        const int written = _write(_fileno(stdout), bytes.data(), size);
        if (written >= 0) {
            bytes.remove_prefix(static_cast<size_t>(written));
        } else if (errno == EPIPE || errno == EINVAL) {  // EINVAL: the reader has gone
            throw OutputClosed();
        } else {
            throw std::runtime_error(std::string("standard output: ") + std::strerror(errno));
        }
    }
}

std::FILE* open_file(const std::string& path, const char* mode) {
    return _wfopen(wide(path).c_str(), wide(mode).c_str());
}

bool flush_to_disk(std::FILE* file) {
    return std::fflush(file) == 0 && _commit(_fileno(file)) == 0;
}

Interrupt::Interrupt() {
    on_interrupt = cancel_.handle();
    SetConsoleCtrlHandler(handle_control, TRUE);
}

Interrupt::~Interrupt() {
    SetConsoleCtrlHandler(handle_control, FALSE);
    on_interrupt = nullptr;
}

int interrupted_status() {
    return kInterrupted;  // Ctrl-Break as well
}

}  // namespace cli
