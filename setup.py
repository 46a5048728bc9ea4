"""Map the data folders beside the package into it; all metadata lives in pyproject.toml.

`benchmarks/suites`, `tuning/spaces` and `tuning/best` are top-level folders for people, and travel in the
wheel as `lungzoo/_content/<kind>`; published weights lie there in the checkout too, each with its manifest.
`lungzoo.content` finds them in a wheel and in a checkout alike.
"""

from setuptools import find_packages, setup

CONTENT = {
    "lungzoo._content.suites": "benchmarks/suites",
    "lungzoo._content.spaces": "tuning/spaces",
    "lungzoo._content.best": "tuning/best",
    "lungzoo._content.weights": "lungzoo/_content/weights",
}

setup(
    packages=[*find_packages(include=["lungzoo", "lungzoo.*"]), *CONTENT],
    package_dir=CONTENT,
    package_data={package: ["*.toml", "*.npz"] for package in CONTENT}
    | {
        "lungzoo": ["py.typed"],
        "lungzoo.encoders": ["facts.json"],
        "lungzoo.suites.report.formats.html": ["*.j2", "*.css", "*.js"],
    },
)
