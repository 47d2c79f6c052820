#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace cli {

using Arguments = std::vector<std::string>;

// The options of one command, with its help.
class CommandLine {
  public:
    CommandLine(const std::string& command, const std::string& description,
                const std::string& footer);

    CLI::App& app() { return app_; }
    // The options that follow stand under this heading in the help.
    void group(const std::string& name) { app_.option_defaults()->group(name); }

    // A number from `low` to `high`. The value in the field is the default.
    template <class Number>
    CLI::Option* number(const std::string& name, Number& field, double low, double high,
                        const std::string& help) {
        return app_.add_option(name, field, help)
            ->check(range(low, high))
            ->capture_default_str()
            ->type_name("N");
    }
    template <class Number>
    CLI::Option* number(const std::string& name, Number& field, double low,
                        const std::string& help) {
        return number(name, field, low, std::numeric_limits<Number>::max(), help);
    }
    // A text, taken byte for byte.
    CLI::Option* text(const std::string& name, std::string& field, const std::string& type,
                      const std::string& help);
    // Texts, each taken byte for byte: "--name A --name B" or, behind MODEL, "--name A B". `add`
    // throws CLI::ValidationError for one that is not right.
    CLI::Option* texts(const std::string& name, std::function<void(const std::string&)> add,
                       const std::string& type, const std::string& help);

    // False: help or version was asked for and is printed. Throws UsageError.
    bool parse(Arguments arguments);

  private:
    static CLI::Validator range(double low, double high);

    CLI::App app_;
    std::string command_;
    std::vector<std::string> list_names_;
};

}  // namespace cli
