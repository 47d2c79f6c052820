#pragma once

#include <functional>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace CLI {  // of CLI11, which command_line.cpp alone includes: it takes seconds to compile
class App;
class Option;
}  // namespace CLI

namespace cli {

using Arguments = std::vector<std::string>;

// Thrown by who takes the value of an option: "must be ..., not '...'".
struct InvalidValue : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// An option of a CommandLine, as long as that is there.
class Option {
  public:
    explicit Option(CLI::Option* option) : option_(option) {}

    void required();
    void excludes(const Option& other);
    void needs(const Option& other);
    bool is_given() const;

  private:
    CLI::Option* option_;
};

// The options of one command, with its help.
class CommandLine {
  public:
    CommandLine(const std::string& command, const std::string& description,
                const std::string& footer);
    ~CommandLine();

    // The options that follow stand under this heading in the help.
    void group(const std::string& name);

    Option flag(const std::string& name, bool& field, const std::string& help);
    // A number from `low` to `high`: int32_t, uint32_t, float. The value in the field is the default.
    template <class Number>
    Option number(const std::string& name, Number& field, double low, double high,
                  const std::string& help);
    template <class Number>
    Option number(const std::string& name, Number& field, double low, const std::string& help) {
        return number(name, field, low, std::numeric_limits<Number>::max(), help);
    }
    // A text, taken byte for byte.
    Option text(const std::string& name, std::string& field, const std::string& type,
                const std::string& help);

    // `take` throws InvalidValue for a text that is not right.
    using Take = std::function<void(const std::string& text)>;
    // A value that is spelled as `preset` unless it is given.
    Option value(const std::string& name, Take take, const std::string& type,
                 const std::string& preset, const std::string& help);
    // Texts, each taken byte for byte: "--name A --name B" or, behind MODEL, "--name A B".
    Option texts(const std::string& name, Take take, const std::string& type,
                 const std::string& help);

    // False: help or version was asked for and is printed. Throws UsageError.
    bool parse(Arguments arguments);

  private:
    std::unique_ptr<CLI::App> app_;
    std::string command_;
    std::vector<std::string> list_names_;
};

}  // namespace cli
