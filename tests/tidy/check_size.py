"""Hard limits on files, functions, parameters, includes and lines. There are no exceptions."""

import ast
import re

HEADER_LINES, SOURCE_LINES, FUNCTION_LINES = 400, 700, 70
PARAMETERS, INCLUDES, COLUMNS = 6, 20, 100
NOT_A_FUNCTION = re.compile(r"^(?:template\s*<.*>\s*)?(namespace|class|struct|enum|union|if|for|"
                            r"while|switch|do|else|try|catch|return|using|static_assert)\b")
GROUP_CLOSERS = {")": "(", "}": "{", "]": "["}


def parameters(text):
    """How many parameters the first bracketed group of a declaration names, or 0."""
    text = text.replace("operator()", "operator_call")
    start = text.find("(")
    if start < 0:
        return 0
    depth, count, content = 0, 1, ""
    for previous, char in zip(text[start:], text[start + 1:]):
        if char in "([{<":
            depth += 1
        elif char in ")]}" or (char == ">" and previous != "-"):
            if depth == 0:
                break
            depth -= 1
        elif char == "," and depth == 0:
            count += 1
        content += char
    return count if content.strip() not in ("", "void") else 0


def functions(code):
    """(first line, last line, text before the body) of outermost functions and of declarations.

    Good enough for formatted code: a brace after a bracketed group opens a function."""
    code = re.sub(r"^\s*#.*(?:\\\n.*)*$", "", code, flags=re.MULTILINE)
    depth, line, start, statement, inside = 0, 1, 1, "", None
    for char in code:
        if char == "\n":
            line += 1
        if char == "{":
            text = statement.strip()
            if inside is None and "(" in text and not NOT_A_FUNCTION.match(text) \
                    and not text.endswith(("=", ",", "(")):
                inside = (depth, start, text)
            depth += 1
            statement = "" if inside is None else statement
        elif char == "}":
            depth -= 1
            if inside and depth == inside[0]:
                yield inside[1], line, inside[2]
                inside, statement = None, ""
            elif inside is None:
                statement = ""
        elif char == ";" and inside is None:
            if "(" in statement and not NOT_A_FUNCTION.match(statement.strip()):
                yield line, line, statement.strip()
            statement = ""
        elif inside is None:
            if not statement.strip() and not char.isspace():
                start, statement = line, ""
            statement += char


def cpp_problems(tree, path):
    lines = tree.read(path).count("\n")
    limit = HEADER_LINES if path.endswith(".h") else SOURCE_LINES
    if lines > limit:
        yield f"{path}: {lines} lines, at most {limit}"
    includes = len(tree.found(r"^\s*#\s*include\b", path, code=False))
    if includes > INCLUDES:
        yield f"{path}: {includes} includes, at most {INCLUDES}"
    for first, last, text in functions(tree.code(path)):
        name = re.sub(r"\s+", " ", text.split("(")[0])[-60:]
        if last - first + 1 > FUNCTION_LINES:
            yield f"{path}:{first}: {name}: {last - first + 1} lines, at most {FUNCTION_LINES}"
        if parameters(text) > PARAMETERS:
            yield f"{path}:{first}: {name}: {parameters(text)} parameters, at most {PARAMETERS}"


def python_problems(tree, path):
    for node in ast.walk(ast.parse(tree.read(path), path)):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        length = node.end_lineno - node.lineno + 1
        if length > FUNCTION_LINES:
            yield f"{path}:{node.lineno}: {node.name}: {length} lines, at most {FUNCTION_LINES}"


def check(tree):
    problems = []
    for path in tree.matching(r"(src|include|tests|bench|examples)/.*\.(h|cc)"):
        problems += cpp_problems(tree, path)
    for path in tree.matching(r".*\.py"):
        problems += python_problems(tree, path)
        if tree.read(path).count("\n") > SOURCE_LINES:
            problems.append(f"{path}: more than {SOURCE_LINES} lines")
    for path in tree.matching(r".*(\.(h|cc|py|sh|cmake)|CMakeLists\.txt)|run|test|\.ci/run"):
        for number, line in enumerate(tree.read(path).split("\n"), 1):
            if len(line) > COLUMNS and "http" not in line:
                problems.append(f"{path}:{number}: {len(line)} columns, at most {COLUMNS}")
    return problems
