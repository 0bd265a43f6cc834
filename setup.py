"""Which files the wheel has; what it is called and needs is in pyproject.toml.

Folders of the repository's root that are no Python packages go into `crossmodal_search`, where
`crossmodal/core/resources.py` finds them: docs/adr/0015-one-wheel.md.
"""

from setuptools import find_packages, setup

FOLDERS = {"flows": "*.yml", "pods": "**/*.yml", "manifests": "*.yaml", "web": "**/*", "data": "toy-data/**/*"}

setup(
    packages=[
        *find_packages(include=["crossmodal*", "executors*", "serving*", "cli*"]),
        *(f"crossmodal_search.{folder}" for folder in FOLDERS),
    ],
    package_dir={f"crossmodal_search.{folder}": folder for folder in FOLDERS},
    package_data={
        "crossmodal": ["**/*"],
        **{f"crossmodal_search.{folder}": [pattern] for folder, pattern in FOLDERS.items()},
    },
    exclude_package_data={"": ["*.pyc", "*.partial"]},
)
