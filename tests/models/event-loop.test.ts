import { expectContract } from '../contract/suite.js'

expectContract('event-loop')
