import { expectContract } from '../contract/suite.js'

expectContract('single-process')
