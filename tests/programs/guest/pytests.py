# SPDX-License-Identifier: MIT
"""Runs modules of Python's own test suite and prints one line a test, without times.

    pytests.py MODULE...

Random operands are the same on each run: the generator is seeded before each module.
"""
import doctest
import importlib
import random
import sys
import unittest

from test import support


class Lines(unittest.TestResult):
    def line(self, test, what):
        name = test.id() if hasattr(test, 'id') else str(test)
        print(f'{name}: {what}')

    def addSuccess(self, test):
        super().addSuccess(test)
        self.line(test, 'ok')

    def addError(self, test, err):
        super().addError(test, err)
        self.line(test, 'ERROR\n' + self._exc_info_to_string(err, test))

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.line(test, 'FAILED\n' + self._exc_info_to_string(err, test))

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err:
            self.line(subtest, 'FAILED\n' + self._exc_info_to_string(err, test))

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.line(test, 'skipped: ' + reason)

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        self.line(test, 'failed as expected')

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.line(test, 'UNEXPECTED SUCCESS')


def suite_of(module):
    """The module's tests: as its test_main would run them, if it has one, else as the loader finds them."""
    suite = unittest.TestSuite()
    load = unittest.defaultTestLoader
    if not hasattr(module, 'test_main'):
        return load.loadTestsFromModule(module).run

    def run(result):
        def classes(*given):
            for c in given:
                suite.addTest(c if isinstance(c, unittest.TestSuite) else load.loadTestsFromTestCase(c))
            suite.run(result)

        def doctests(m, *_, **options):
            doctest.DocTestSuite(m, optionflags=options.get('optionflags', 0)).run(result)

        module.run_unittest = classes
        module.run_doctest = doctests
        module.test_main()

    return run


support.use_resources = []
bad = 0
for name in sys.argv[1:]:
    random.seed(1)
    result = Lines()
    suite_of(importlib.import_module('test.' + name))(result)
    bad += not result.wasSuccessful()
    print(f'{name}: {result.testsRun} tests, {len(result.failures)} failures, {len(result.errors)} errors, '
          f'{len(result.skipped)} skipped')
sys.exit(1 if bad else 0)
